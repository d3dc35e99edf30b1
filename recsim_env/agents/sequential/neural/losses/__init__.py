"""What encoders are trained by: objectives by name, and further losses, one file each."""
