"""Pictures of the atlas: what each flag is made of, and the code that draws it."""
