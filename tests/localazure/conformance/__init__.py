"""What goes over the wire, row by row, with the source each row comes from."""
