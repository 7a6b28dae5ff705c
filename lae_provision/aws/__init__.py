"""The doors on AWS, through txAWS' clients and one signing agent."""
