"""What a repository is, found in the text of its files: pure, so that looking at an untrusted clone runs nothing."""
