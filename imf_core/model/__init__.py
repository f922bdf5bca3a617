"""The IMF model: modality encoders, bilinear fusion, contextual scorers, decision fusion.

Shapes in this package: B queries, E entities, C candidate entities (a subset of E), D `model.dim`,
D_r size of a relation embedding, F size of a feature vector, H channels, N any number of entities,
R relations without inverses. A channel is one scorer: structural, visual, textual or fused. Read
`imf.py` first: it follows the method.
"""
