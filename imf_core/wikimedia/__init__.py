"""The stage media: texts and images of Wikidata, Wikipedia and Commons."""
