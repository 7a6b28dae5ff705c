"""The HTTP front before moto: EC2's rules that moto leaves out, and faults."""
