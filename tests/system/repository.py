"""A model repository that a test fills."""
import os
import shutil

BUILTIN = "[model]\nbackend = builtin\n{more}\n[parameters]\nfunction = {function}\n"


class Repository:
    def __init__(self, directory):
        self.directory = str(directory)

    def put(self, model, function="identity", more=""):
        os.makedirs(os.path.join(self.directory, model), exist_ok=True)
        self.write(os.path.join(model, "model.conf"), BUILTIN.format(function=function, more=more))

    def write(self, path, text):
        """At once, as an editor does it."""
        whole = os.path.join(self.directory, path)
        with open(whole + "~", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(whole + "~", whole)

    def remove(self, model):
        shutil.rmtree(os.path.join(self.directory, model))
