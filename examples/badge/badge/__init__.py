"""A conference badge: shows its owner's name, the schedule and what else there is."""
