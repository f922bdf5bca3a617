"""From images and texts to one fixed-size vector per entity."""
