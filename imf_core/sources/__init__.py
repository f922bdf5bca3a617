"""The stage download: registered sets, users' folders and RDF dumps become one raw folder."""
