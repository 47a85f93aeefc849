"""What only the staff of a site sees, beside the admin of the models."""
