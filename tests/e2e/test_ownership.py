"""Who may touch a mirror: two Mirrors for one, tags of others, adoption, handing over, two operators."""
