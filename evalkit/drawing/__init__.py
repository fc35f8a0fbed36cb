"""Images for people: masks laid over images, and contact sheets of them."""
