"""`python -m audiocodec`."""

from audiocodec.cli.main import main

if __name__ == "__main__":
    main()
