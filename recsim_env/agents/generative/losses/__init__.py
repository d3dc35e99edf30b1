"""What generative recommenders and their item encoders are trained for beside the next item."""
