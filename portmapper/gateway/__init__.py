"""Which router to ask."""
