"""Every screen and trouble of the panel, in every language and at both of the panel's sizes: pictures, and axe-core."""
