"""Every sentence for people: the findings, the texts, the language."""
