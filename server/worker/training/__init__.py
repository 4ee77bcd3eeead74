"""The parts of the train task: recipes, names, what is kept until it is done, data, processes."""
