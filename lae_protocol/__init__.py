"""What the processes of S4 say to each other, and what each of them is made of."""
