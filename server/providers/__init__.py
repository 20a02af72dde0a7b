"""Who answers: each module turns one vendor's stream into `Delta`s."""
