"""Pages and figures: values → HTML and SVG. Nothing here reads, writes or measures."""
