"""What single studies compute: tables in, tables out. Not part of the library, which never imports it."""
