"""Results for people: the HTML report of a finished run, and plain text for the terminal."""
