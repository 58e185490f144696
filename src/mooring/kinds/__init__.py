"""What may be declared, and what is reported back."""
