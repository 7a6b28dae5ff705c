"""The AWS account itself: what moto knows, who may do what, how it is set up."""
