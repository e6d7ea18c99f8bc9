"""What `kwsctl bench` measures: whole protocols over many people, each printed as a table and a picture."""
