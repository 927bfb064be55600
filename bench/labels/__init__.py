"""Labels from a teacher: made one image at a time, kept in files, summed up."""
