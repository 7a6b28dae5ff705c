"""The doors on AWS, through txAWS and one signing agent."""
