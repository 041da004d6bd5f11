"""What commands print: tables, values, findings and errors."""
