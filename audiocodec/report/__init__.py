"""HTML pages for people, each one file with all it needs: frame and style, charts, sound and pictures."""
