"""Parts of the page, one per file; see `kwsctl.report.section.Section`."""
