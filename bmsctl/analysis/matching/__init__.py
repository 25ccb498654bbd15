"""Which modules go together in a pack: all of them with the least spread, or as many packs as windows allow."""
