# Puts the uploaded configuration to use.
set -eu
cp "$FOLDER/app.conf" "$FOLDER/app.conf.active"
echo "app $1 started in $FOLDER"
