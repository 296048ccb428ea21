"""The vision-language-action model and its action tokens."""
