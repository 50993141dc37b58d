"""Search for translations: beam search and sampling over encoded sentences, constraints on them, and their text.

Shape legend, for every file in this folder; a tensor's name ends in its shape:

    B  sentences of a batch                  K  hypotheses of a sentence
    S  source positions                      N  hypotheses of all sentences, B·K; those of a sentence side by side
    V  target vocabulary                     t  tokens of a hypothesis so far
"""
