"""One thin entry point per DVC stage: parse paths, load typed params, call the core, save."""
