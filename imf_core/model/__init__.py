"""The IMF model: modality encoders, bilinear fusion, contextual scorers, decision fusion.

Legend of all shapes in this package: B queries, E entities, C candidate entities (a subset of E),
D `model.dim`, D_r size of a relation embedding, F size of a feature vector, H heads, N any
number of entities, R relations without inverses. Read `imf.py` first: it reads like the method.
"""
