"""The exercise on handwritten digits: the data, the main job, the course's published numbers, and figures.

This room imports training and everything below; the study, the lesson, grading and the pages import it.
"""
