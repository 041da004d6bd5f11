"""What publishing or replaying windows would do, found out without writing anything; and doing exactly that."""
