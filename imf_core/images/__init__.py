"""The stage images: choose and fetch the images of entities, write them as shards."""
