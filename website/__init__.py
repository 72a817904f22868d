"""What turns the book's pages into a site and a PDF; not part of the library."""
