# config/initializers/stored_session.rb of the Rails application. Nothing here is special to Node: it is the gem's
# own set-up, and the Node side takes the same keys from the same place.

Rails.application.config.session_store :stored_session_store, key: "_my_app_session"

# What config/credentials.yml.enc says under active_record_encryption, given by the environment here, so that both
# sides read the same.
Rails.application.config.active_record.encryption.primary_key = ENV.fetch("RAILS_ENCRYPTION_PRIMARY_KEY")
Rails.application.config.active_record.encryption.key_derivation_salt = ENV.fetch("RAILS_ENCRYPTION_SALT")
