"""Where objects lie on flash: directories, publishing, salvage after a crash, space."""
