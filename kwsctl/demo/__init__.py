"""What `kwsctl demo` needs beside the commands it runs: who speaks when, and what the talk claims."""
