"""``lae account``: what the settings need of the AWS account, planned and made."""
