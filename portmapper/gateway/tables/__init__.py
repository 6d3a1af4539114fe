"""The route tables of all systems, as their files and programs print them: text in, routes and candidates out."""
