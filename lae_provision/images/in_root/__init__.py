"""What an image's own Python runs while the image is made."""
