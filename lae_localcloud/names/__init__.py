"""Real names: a name server serves what stands in the account's zones."""
