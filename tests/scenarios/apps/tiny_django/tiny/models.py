from django.db import models


class Job(models.Model):
    answer = models.TextField(default="")
