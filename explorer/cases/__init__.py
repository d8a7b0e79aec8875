"""Cases: a ring or a scene that somebody looks into, with notes, an assignee, a status and the evidence as it was."""
