"""The exercise on handwritten digits: the data, the main job, the course's published numbers, the pictures.

This room imports training and everything below; the study and the commands import it.
"""
